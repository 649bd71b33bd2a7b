"""LocalStack's DynamoDB, answered by somebody else.

LocalStack's own DynamoDB is a Java archive that it downloads when it starts, and that only its Docker image holds. This
provider hands every request for DynamoDB to the server at TOKTIK_DYNAMODB_URL, as it came: signature, Host and body are
those of the client, so that a server that checks signatures can do so. It is found through the entry point beside it, and
chosen by PROVIDER_OVERRIDE_DYNAMODB=toktik.
"""

import os

from localstack.aws.api.dynamodb import DynamodbApi
from localstack.aws.forwarder import AwsRequestProxy
from localstack.aws.skeleton import create_dispatch_table
from localstack.http import Response
from localstack.services.plugins import Service, aws_provider


@aws_provider(api="dynamodb", name="toktik")
def dynamodb():
    # Neither request nor answer is read on the way: LocalStack would write both anew, and leave out what it does not
    # know, such as why a transaction was cancelled.
    server = AwsRequestProxy(os.environ["TOKTIK_DYNAMODB_URL"], parse_response=False)

    def forward(context, _request):
        answer = server.forward(context)
        return Response(answer.get_data(), answer.status_code, answer.headers)

    def forwarded(provider):
        return dict.fromkeys(create_dispatch_table(provider), forward)

    return Service.for_provider(DynamodbApi(), dispatch_table_factory=forwarded)
